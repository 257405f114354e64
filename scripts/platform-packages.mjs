// The names of the packages that hold the prebuilt addons: all in one npm scope, which only its owner can publish to.
// src/native/native.ts loads them by the same names.

const SCOPE = "@spiped";

/** @param {string} platform - As napi-rs names it: `linux-x64-gnu`. */
export function packageOf(platform) {
  return `${SCOPE}/${platform}`;
}

export function isPlatformPackage(name) {
  return name.startsWith(`${SCOPE}/`);
}
