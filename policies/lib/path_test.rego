package lib.path_test

import data.lib.path

test_below[note] if {
	some note, tt in {
		"itself": "/internal",
		"trailing slash": "/internal/",
		"child": "/internal/health",
		"deeper": "/internal/jobs/17/log",
	}
	path.below(tt, "/internal")
}

test_not_below[note] if {
	some note, tt in {
		"longer word": "/internalize",
		"elsewhere": "/public/internal",
		"parent": "/",
		"other case": "/INTERNAL",
	}
	not path.below(tt, "/internal")
}
