// Lints templates with AWS's @aws/cloudformation-validate, the one that aws-cdk-lib has in
// it. Standard input: {"parameters": {NAME: VALUE}, "without": [RULE], "templates": {NAME:
// TEXT}}. Standard output: {NAME: ["SEVERITY RULE MESSAGE", ...]}, for each template.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { CelEngine, TemplateContent } = createRequire(import.meta.resolve('aws-cdk-lib'))('@aws/cloudformation-validate')
const { parameters, without, templates } = JSON.parse(readFileSync(0, 'utf8'))
const engine = new CelEngine()
const found = {}
for (const [name, text] of Object.entries(templates)) {
  const report = engine.validateTemplate(new TemplateContent(text, name), {
    parameterOverrides: parameters,
    severityLevel: 'WARN',
    detailLevel: 'STANDARD',
    exclude: { ids: without },
  })
  found[name] = report.diagnostics.map(d => `${d.severity} ${d.ruleId} ${d.message}`)
}
process.stdout.write(JSON.stringify(found))
