// A simulated management controller (ipmi_sim), with the sensors and events defined here.

/** The user and password that it accepts. */
export const administrator = { name: "admin", password: "secret" };

export interface ControllerOptions {
  /** Where it listens, on UDP port 623. */
  readonly host: string;
  readonly sensors: number;
  readonly events?: number;
  /** Local TCP port of the console behind serial-over-LAN. */
  readonly consolePort?: number;
}

/** Files for ipmi_sim: -c is `settings`, -f is `commands`, and -s a folder of its own. */
export function controllerFiles(options: ControllerOptions): { readonly settings: string; readonly commands: string } {
  const { host, sensors, events = 0, consolePort } = options;
  const authorizations = "none md2 md5 straight";
  const settings = [
    'name "controller"',
    "set_working_mc 0x20",
    "startlan 1",
    `addr ${host} 623`,
    "priv_limit admin",
    ...["callback", "user", "operator", "admin"].map((level) => `allowed_auths_${level} ${authorizations}`),
    // No session can be opened without one.
    "guid 000102030405060708090a0b0c0d0e0f",
    "endlan",
    ...(consolePort === undefined ? [] : [`sol "tcp:127.0.0.1:${consolePort}" 115200`]),
    `user 2 true "${administrator.name}" "${administrator.password}" admin 10 ${authorizations}`,
  ];
  const commands = ["mc_setbmc 0x20", "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02"];
  commands.push("sel_enable 0x20 1000 0x0a");
  for (let number = 1; number <= sensors; number += 1) {
    const none = "0".repeat(15);
    commands.push(
      `sensor_add 0x20 0 ${number} 1 1`,
      `sensor_set_value 0x20 0 ${number} ${20 + number} 0`,
      `sensor_set_event_support 0x20 0 ${number} enable scanning per-state ${none} ${none} ${none} ${none}`,
      `main_sdr_add 0x20 ${argsOf(temperatureRecord(number))}`,
    );
  }
  for (let number = 1; number <= events; number += 1) {
    const upperCritical = [0x04, 0x01, 1, 0x01, 0x59, 0, 0];
    commands.push(`sel_add 0x20 2 ${argsOf([number & 0xff, number >> 8, 0, 0x50, 0x20, 0, ...upperCritical])}`);
  }
  commands.push("mc_enable 0x20");
  return { settings: `${settings.join("\n")}\n`, commands: `${commands.join("\n")}\n` };
}

/** A "full sensor record" (IPMI 2.0, section 43.1): degrees Celsius, a reading of n is n degrees. */
function temperatureRecord(number: number): readonly number[] {
  const name = Buffer.from(`Temp ${number}`);
  const key = [0x20, 0, number];
  const entity = [3, number, 0x7f, 0x68, 1, 1];
  const [masks, units, linear] = [
    [0, 0, 0, 0, 0, 0],
    [0, 1, 0],
    [0, 1, 0, 0, 0, 0, 0],
  ];
  const [ranges, thresholds, rest] = [
    [0, 0x30, 0x50, 0x10, 0x7f, 0],
    [0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0],
  ];
  const body = [...key, ...entity, ...masks, ...units, ...linear, ...ranges, ...thresholds, ...rest];
  body.push(0xc0 | name.length, ...name);
  return [0, 0, 0x51, 1, body.length, ...body];
}

function argsOf(bytes: readonly number[]): string {
  return bytes.map((byte) => `0x${byte.toString(16)}`).join(" ");
}
