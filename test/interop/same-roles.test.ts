// Two ends in the same role, one of them the C original.

import { withCOriginal } from "../support/programs.js";
import { declareSameRoles } from "../support/same-roles.js";

withCOriginal(declareSameRoles);
