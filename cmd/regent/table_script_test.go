package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"regent/tenants/dynamo/dynamotest"
)

// TestTableScript runs testdata/table: the verbs that need a table, against a server
// that speaks DynamoDB's protocol. Each script has the name of a table that is there in
// $TABLE, and of one that is not in $NOTABLE; $REGENT_STORE names the first.
func TestTableScript(t *testing.T) {
	t.Parallel()
	const scripts = "testdata/table"
	files, err := filepath.Glob(scripts + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", scripts, err)
	}
	endpoint := dynamotest.Endpoint(t)
	testscript.Run(t, testscript.Params{
		Dir:                 scripts,
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
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"normalize": cmdNormalize, "append": cmdAppend, "fill": cmdFill, "mode": cmdMode,
		},
	})
}
