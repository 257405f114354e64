//! The files of `test/vectors`. An unknown field is an error, because no test would check it.

use std::path::PathBuf;

use serde::{Deserialize, de::DeserializeOwned};

/// Bytes, in hexadecimal in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub Vec<u8>);

impl Hex {
    /// The bytes as an array of `N` bytes; panics on any other length.
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().expect("has the right length")
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => {
                Ok(Self(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()))
            }
            _ => Err(serde::de::Error::custom("not hex")),
        }
    }
}

/// The outcome that a vector must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Expect {
    #[serde(rename = "success")]
    Success,
    #[serde(rename = "bad mac")]
    BadMac,
    #[serde(rename = "bad length")]
    BadLength,
    #[serde(rename = "dh out of range")]
    DhOutOfRange,
    #[serde(rename = "success unless forward secrecy is required")]
    SuccessUnlessForwardSecrecyIsRequired,
}

/// A file of vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File<T> {
    pub source: String,
    pub vectors: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Kdf {
    pub name: String,
    pub scenario: String,
    pub key_file: Hex,
    pub secret: Hex,
    pub key_id: Hex,
    pub nonce_c: Hex,
    pub nonce_s: Hex,
    pub dh_mac_key_c: Hex,
    pub dh_mac_key_s: Hex,
    #[serde(rename = "ySC")]
    pub y_sc: Hex,
    #[serde(rename = "E_C")]
    pub e_c: Hex,
    #[serde(rename = "H_C")]
    pub h_c: Hex,
    #[serde(rename = "E_S")]
    pub e_s: Hex,
    #[serde(rename = "H_S")]
    pub h_s: Hex,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Dh {
    pub name: String,
    pub scenario: String,
    pub peer_y: Hex,
    pub expect: Expect,
    // For exponentiations:
    pub x: Option<Hex>,
    pub y: Option<Hex>,
    #[serde(rename = "ySC")]
    pub y_sc: Option<Hex>,
    // For messages that a client receives:
    pub dh_mac_key_s: Option<Hex>,
    pub peer_mac: Option<Hex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Packet {
    pub name: String,
    pub scenario: String,
    #[serde(rename = "E")]
    pub e: Hex,
    #[serde(rename = "H")]
    pub h: Hex,
    pub number: String,
    pub cleartext: Option<Hex>,
    pub packet: Hex,
    pub expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Transcript {
    pub name: String,
    pub scenario: String,
    pub key_file: Hex,
    pub x: Hex,
    pub x_is: Side,
    pub client_sends: Sent,
    pub server_sends: Sent,
    #[serde(rename = "ySC")]
    pub y_sc: Hex,
    pub cleartext_both_ways: Hex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Side {
    #[serde(rename = "the client's")]
    Client,
    #[serde(rename = "the server's")]
    Server,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    pub nonce: Hex,
    pub dh: Hex,
    pub packets: Vec<Hex>,
}

/// The text of `test/vectors/<name>.json`.
pub(crate) fn text(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../test/vectors/{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The vectors in a file's text.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    let file: File<T> = serde_json::from_str(text)?;
    assert!(!file.vectors.is_empty());
    Ok(file.vectors)
}

fn load<T: DeserializeOwned>(name: &str) -> Vec<T> {
    parse(&text(name)).unwrap_or_else(|error| panic!("{name}.json: {error}"))
}

pub(crate) fn kdf() -> Vec<Kdf> {
    load("kdf")
}

pub(crate) fn dh() -> Vec<Dh> {
    load("dh")
}

pub(crate) fn packet() -> Vec<Packet> {
    load("packet")
}

pub(crate) fn transcript() -> Vec<Transcript> {
    load("transcript")
}
