package dir

import (
	"fmt"
	"io/fs"

	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// TenantFile is a tenant.yaml that was read by itself.
type TenantFile struct {
	// Tenant has neither a revision nor a version: a file says nothing of them.
	Tenant tenants.Tenant

	doc *document
}

// ReadTenant reads the content of a tenant.yaml as strictly as Load does. The name
// stands for it in messages. What is wrong comes back as Errors, all of it at once;
// what only other tenants show is not looked for.
func ReadTenant(name string, content []byte) (TenantFile, error) {
	var errs Errors
	d, root := single(name, content, &errs)
	if root == nil {
		return TenantFile{}, errs.sorted()
	}
	f := TenantFile{Tenant: d.readTenant(root), doc: d}
	if err := errs.sorted(); err != nil {
		return TenantFile{}, err
	}
	return f, nil
}

// Fail returns an error about a field, such as "identity.providers[0].jwks", at its
// place in the file.
func (f TenantFile) Fail(field, message, hint string) FileError {
	return f.doc.failure(field, message, hint)
}

// APIFile is one entry of regent.yaml's list in a file of its own.
type APIFile struct {
	// API has no version.
	API tenants.API

	doc *document
}

// ReadAPI reads one entry of regent.yaml's list as strictly as Load does. The name
// stands for the file in messages; fsys is where the OpenAPI document is that routes
// may name, and is held to nothing that Load's is not. What is wrong comes back as
// Errors, all of it at once.
func ReadAPI(name string, content []byte, fsys fs.FS) (APIFile, error) {
	var errs Errors
	d, root := single(name, content, &errs)
	if root == nil {
		return APIFile{}, errs.sorted()
	}
	var r registration
	d.registration(&r)(root, "")
	d.validated("", r.api.Validate())
	if r.spec != "" {
		r.api.Routes = newFiles(fsys, &errs).routes(placed[tenants.API]{doc: d}, r.spec)
	}
	if err := errs.sorted(); err != nil {
		return APIFile{}, err
	}
	return APIFile{API: r.api, doc: d}, nil
}

// Fail returns an error about a field, such as "tenant[0]", at its place in the file.
func (f APIFile) Fail(field, message, hint string) FileError {
	return f.doc.failure(field, message, hint)
}

// ReadAPIs reads a workspace's regent.yaml and the OpenAPI documents that it names, and
// nothing else. The APIs are in the order of the file. Errors are as Load's.
func ReadAPIs(fsys fs.FS, name string) ([]tenants.API, error) {
	l := &loading{name: name}
	l.files = newFiles(fsys, &l.errs)
	l.readAPIs()
	l.uniqueAPIs()
	if err := l.errs.sorted(); err != nil {
		return nil, err
	}
	var apis []tenants.API
	for _, r := range l.regs {
		apis = append(apis, r.value)
	}
	return apis, nil
}

func single(name string, content []byte, errs *Errors) (*document, *yaml.Node) {
	if len(content) > maxYAML {
		errs.addf(name, "larger than %d bytes", maxYAML)
		return nil, nil
	}
	return parseDocument(name, content, errs)
}

// failure is an error about a field, where that is.
func (d *document) failure(field, message, hint string) FileError {
	n := d.nearest(field)
	return FileError{File: d.file, Line: n.Line, Column: n.Column, Message: fmt.Sprintf("%s: %s", field, message), Hint: hint}
}
