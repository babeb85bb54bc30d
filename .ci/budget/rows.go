package main

// row is one line of the table: a metric of a benchmark, and what it may be.
type row struct {
	// what is measured, as in DESIGN.md §14.
	what string
	// limit is the budget; atLeast turns it round, and unbounded rows have none.
	limit     float64
	atLeast   bool
	unbounded bool
	// show follows the numbers, such as " ms".
	show string
	// pkg, bench and unit say which benchmark reports the metric, and its name there.
	pkg, bench, unit string
}

// rows are in the order of DESIGN.md §14, and behind them those that compare.
func rows() []row {
	const eng = "./engine"
	return []row{
		{what: "warm request, exact mode, ES256, small RBAC policy: whole ÷ sum of the parts run bare", limit: 1.3, pkg: eng, bench: "BenchmarkBudget/policy=small", unit: "whole/sum"},
		{what: "the same with the embedded workspace's `acme` (helpers, guardrails)", limit: 1.3, pkg: eng, bench: "BenchmarkBudget/policy=embedded", unit: "whole/sum"},
		{what: "token already verified ÷ token verified, small policy", limit: 0.5, pkg: eng, bench: "BenchmarkBudget/policy=small", unit: "remembered/whole"},
		{what: "complete policy, 50 routes ÷ evaluating the prepared query once for each route, 20 permissions in data", limit: 0.25, pkg: eng, bench: "BenchmarkComplete/data=20", unit: "complete/per-route"},
		{what: "the same, 1,000 permissions in data", limit: 0.25, pkg: eng, bench: "BenchmarkComplete/data=1000", unit: "complete/per-route"},
		{what: "the same, a rule for each route", limit: 0.25, pkg: eng, bench: "BenchmarkComplete/rules=50", unit: "complete/per-route"},
		{what: "what a remembered document adds to a request ÷ computing it", limit: 0.1, pkg: eng, bench: "BenchmarkMemo", unit: "memo/computing"},
		{what: "compiling the policy and deciding ÷ deciding", limit: 20, atLeast: true, pkg: eng, bench: "BenchmarkCompilePerRequest", unit: "decision-x"},
		{what: "memory for each tenant with a small policy of its own", limit: 150, show: " KB", pkg: "./cmd/internal/soak", bench: "BenchmarkMemoryPerTenant/policy=small/api=exact", unit: "KB/tenant"},
		{what: "the same, on an API with a cache", limit: 150, show: " KB", pkg: "./cmd/internal/soak", bench: "BenchmarkMemoryPerTenant/policy=small/api=cached", unit: "KB/tenant"},
		{what: "memory for each tenant that shares its bundle", limit: 10, show: " KB", pkg: "./cmd/internal/soak", bench: "BenchmarkMemoryPerTenant/policy=shared/api=exact", unit: "KB/tenant"},
		{what: "first decision for a tenant that is not loaded, among 10,000 tenants ÷ among 10", limit: 1.1, pkg: "./cmd/internal/soak", bench: "BenchmarkFirstDecision", unit: "first-of-10000/first-of-10"},
		{what: "the same ÷ compiling its policy", limit: 3, pkg: "./cmd/internal/soak", bench: "BenchmarkFirstDecision", unit: "first-of-10000/compile"},
		{what: "process start to the first event asked for ÷ that of a bare binary with aws-lambda-go, OPA and the SDK", limit: 2, pkg: "./cmd/authorizer", bench: "BenchmarkStart", unit: "start/bare"},
		{what: "a tenant's p99 beside one that uses up its time continuously ÷ alone", limit: 2, pkg: "./engine/rules/sandbox", bench: "BenchmarkNeighbours/burning", unit: "p99-ratio"},
		{what: "the same beside one that does so by 16 callers", limit: 2, pkg: "./engine/rules/sandbox", bench: "BenchmarkNeighbours/burning_by_many_callers", unit: "p99-ratio"},
		{what: "the same beside one whose evaluations have to be killed, until it is parked", limit: 2, pkg: "./engine/rules/sandbox", bench: "BenchmarkNeighbours/killed", unit: "p99-ratio"},
		{what: "the same beside kills that never end, each of another tenant", limit: 2, pkg: "./engine/rules/sandbox", bench: "BenchmarkNeighbours/killed_and_many", unit: "p99-ratio"},
		{what: "the same beside a burst of 16 callers", limit: 2, pkg: "./engine/rules/sandbox", bench: "BenchmarkNeighbours/burst", unit: "p99-ratio"},
		{what: "a decision in the child process, more than in the process, p50", limit: 40, show: " µs", pkg: "./engine/rules/sandbox", bench: "BenchmarkChild", unit: "more-µs"},
		{what: "a hostile policy that compiles, without any filter before it: the longest time to an answer", limit: 100, show: " ms", pkg: "./engine/rules/sandbox", bench: "BenchmarkHostile", unit: "max-ms"},
		{what: "one that does not compile: the longest time to its refusal", limit: 400, show: " ms", pkg: "./engine/rules/sandbox", bench: "BenchmarkHostile", unit: "max-load-ms"},
		{what: "both: how much the parent process grows at its highest", limit: 32, show: " MB", pkg: "./engine/rules/sandbox", bench: "BenchmarkHostile", unit: "grown-MB"},

		{what: "token already verified ÷ token verified, `acme`: OPA's part is larger than the signature's", unbounded: true, pkg: eng, bench: "BenchmarkBudget/policy=embedded", unit: "remembered/whole"},
		{what: "warm request with the rules in a child ÷ in the process, small policy", unbounded: true, pkg: eng, bench: "BenchmarkApart/policy=small", unit: "apart/whole"},
		{what: "the same with `acme`", unbounded: true, pkg: eng, bench: "BenchmarkApart/policy=embedded", unit: "apart/whole"},
		{what: "token already verified ÷ token verified, rules in a child, small policy", unbounded: true, pkg: eng, bench: "BenchmarkApart/policy=small", unit: "apart-remembered/apart"},
		{what: "a whole request that compiles `acme`'s policy ÷ one that does not, token remembered", unbounded: true, pkg: eng, bench: "BenchmarkCompilePerRequest", unit: "remembered-x"},
		{what: "the same, token verified", unbounded: true, pkg: eng, bench: "BenchmarkCompilePerRequest", unit: "whole-x"},
		{what: "what a child process grows by for each small policy, its collector's garbage included", unbounded: true, show: " KB", pkg: "./engine/rules/sandbox", bench: "BenchmarkChildMemory", unit: "KB/policy"},
		{what: "first answer after the start, everything read from a table (dynalite)", unbounded: true, show: " ms", pkg: "./cmd/authorizer", bench: "BenchmarkStart", unit: "table-first-ms"},
		{what: "first answer for another tenant after that", unbounded: true, show: " ms", pkg: "./cmd/authorizer", bench: "BenchmarkStart", unit: "table-next-tenant-ms"},
		{what: "first answer after the start, from a workspace; most of it is the child's start", unbounded: true, show: " ms", pkg: "./cmd/authorizer", bench: "BenchmarkStart", unit: "first-ms"},
		{what: "size of the function", unbounded: true, show: " MB", pkg: "./cmd/authorizer", bench: "BenchmarkStart", unit: "function-MB"},
		{what: "one decision of the small policy ÷ one prepared query of OPA, called bare for `allow` alone", unbounded: true, pkg: "./engine/rules", bench: "BenchmarkCompared", unit: "regent/prepared"},
		{what: "the same compiled for each request with OPA's own API ÷ one decision", unbounded: true, pkg: "./engine/rules", bench: "BenchmarkCompared", unit: "compiled/regent"},
		{what: "asking an OPA server over loopback ÷ one decision", unbounded: true, pkg: "./engine/rules", bench: "BenchmarkCompared", unit: "server/regent"},
	}
}
