// Package deploy holds template.yaml and the snippets of docs/cross-account.md to what
// linters and AWS's own tools know of them. It has tests only.
//
// They need Node.js and `npm ci`, for AWS's linter of CloudFormation templates and the
// CDK. cfn-lint and terraform are used as well where they are installed. What only
// Regent's code knows of template.yaml is tested by cmd/internal/cfn; mutations.yaml has
// ways to break the template for both.
//
// Nothing here is deployed, and nothing is asked of AWS.
package deploy
