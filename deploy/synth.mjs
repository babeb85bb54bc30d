// Compiles a CDK program in TypeScript, types and all, runs it, and prints the template
// of its one stack. Standard input: the program, in which the app is called app.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'

// The CDK's own look at the result takes half a minute of a busy machine; lint.mjs looks.
process.env.CDK_VALIDATION = 'false'

// Below this directory, so that imports find node_modules.
const dir = mkdtempSync(join(import.meta.dirname, '.synth-'))
try {
  const source = join(dir, 'program.mts')
  writeFileSync(source, readFileSync(0, 'utf8') + '\nexport { app }\n')
  const program = ts.createProgram([source], {
    strict: true,
    noUnusedLocals: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    // The root of the package declares every service of AWS; what programs take from it is core's.
    paths: { 'aws-cdk-lib': [join(import.meta.dirname, 'node_modules/aws-cdk-lib/core/index.d.ts')] },
  })
  const problems = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics]
  if (problems.length > 0) {
    throw new Error(ts.formatDiagnostics(problems, { getCanonicalFileName: f => f, getCurrentDirectory: () => dir, getNewLine: () => '\n' }))
  }
  const { app } = await import(pathToFileURL(join(dir, 'program.mjs')).href)
  const [stack] = app.synth().stacks
  process.stdout.write(JSON.stringify(stack.template))
} finally {
  rmSync(dir, { recursive: true })
}
