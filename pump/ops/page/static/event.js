import { pictures } from "./common.js";

pictures();
