package lib.methods_test

import data.lib.methods

test_reading_methods_are_safe if {
	every method in ["GET", "HEAD", "OPTIONS", "$connect"] { method in methods.safe }
}

test_other_methods_are_not_safe if {
	every method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", ""] { not method in methods.safe }
}

test_named[note] if {
	some note, tt in {
		"one": {"list": ["GET"], "want": {"GET"}},
		"many": {"list": ["GET", "PUT"], "want": {"GET", "PUT"}},
		"any": {"list": ["ANY"], "want": methods.all},
		"any among others": {"list": ["GET", "ANY"], "want": methods.all},
		"none": {"list": [], "want": set()},
		"case counts": {"list": ["get", "any"], "want": {"get", "any"}},
	}
	methods.named(tt.list) == tt.want
}

test_all_methods_of_a_route if {
	methods.all == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
}
