// Package cfn reads a CloudFormation template and says what a stack of it would have,
// for given parameters: conditions decided, functions evaluated, references replaced by
// names like those that CloudFormation makes up. Tests hold template.yaml to the code
// with it; no program links it.
//
// It knows the functions that template.yaml uses and refuses the others. It knows no
// resource type, so a misspelt property is the linter's to find; but unlike a linter it
// finds a reference to what a stack would not have. It deploys nothing.
//
// A Template may be used by many goroutines.
package cfn
