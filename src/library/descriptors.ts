/** The descriptor budget of this process, shared by everything the library opens. */

import { DescriptorBudget } from "../net/descriptors.js";

let budget: DescriptorBudget | undefined;

/** Counted on first use. */
export function descriptors(): DescriptorBudget {
  budget ??= DescriptorBudget.measure();
  return budget;
}
