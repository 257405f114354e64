/**
 * The descriptors of this process, which all that the library opens shares.
 */

import { DescriptorBudget } from "../net/descriptors.js";

let budget: DescriptorBudget | undefined;

/** Counted when they are first asked for. */
export function descriptors(): DescriptorBudget {
  budget ??= DescriptorBudget.measure();
  return budget;
}
