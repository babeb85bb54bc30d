package main

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"regent/tenants/dynamo/dynamotest"
)

// TestTableScript runs testdata/table: the verbs that need a table, against a server
// that speaks DynamoDB's protocol. Each script has the name of a table that is there in
// $TABLE, and of one that is not in $NOTABLE; $REGENT_STORE names the first.
func TestTableScript(t *testing.T) {
	t.Parallel()
	const scripts = "testdata/table"
	endpoint := dynamotest.Endpoint(t)
	testscript.Run(t, testscript.Params{
		Files:               scriptsIn(t, scripts),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, v := range dynamotest.Environment(endpoint) {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			table := dynamotest.Table(t)
			env.Setenv("TABLE", table)
			env.Setenv("REGENT_STORE", "dynamodb:"+table)
			env.Setenv("NOTABLE", dynamotest.NewTableName())
			env.Setenv("USER", "tester")
			// The machine may be busy.
			env.Setenv("REGENT_EVAL_TIMEOUT", "5s")
			env.Setenv("GORACE", noSleep)
			return setBombs(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"normalize": cmdNormalize, "append": cmdAppend, "fill": cmdFill, "mode": cmdMode, "same": cmdSame,
		},
	})
}

// cmdSame is `same DIR DIR`: two directories have the same files with the same content,
// hidden ones left out.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same DIR DIR")
	}
	a, b := filesBelow(ts, args[0]), filesBelow(ts, args[1])
	if len(a) == 0 {
		ts.Fatalf("%s has no files", args[0])
	}
	if diff := cmp.Diff(a, b); diff != "" {
		ts.Fatalf("%s and %s differ (-%s +%s)\n%s", args[0], args[1], args[0], args[1], diff)
	}
}

func filesBelow(ts *testscript.TestScript, path string) map[string]string {
	all := map[string]string{}
	root := os.DirFS(ts.MkAbs(path))
	ts.Check(fs.WalkDir(root, ".", func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != "." && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		content, err := fs.ReadFile(root, p)
		all[p] = string(content)
		return err
	}))
	return all
}
