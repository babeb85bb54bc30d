package lib.methods_test

import data.lib.methods

test_reading_methods_are_safe if {
	every method in ["GET", "HEAD", "OPTIONS", "$connect"] { method in methods.safe }
}

test_other_methods_are_not_safe if {
	every method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", ""] { not method in methods.safe }
}

test_listed[note] if {
	some note, tt in {
		"only one": {"method": "GET", "list": ["GET"]},
		"one of many": {"method": "PUT", "list": ["GET", "PUT"]},
		"any": {"method": "DELETE", "list": ["ANY"]},
		"any among others": {"method": "DELETE", "list": ["GET", "ANY"]},
	}
	methods.listed(tt.method, tt.list)
}

test_not_listed[note] if {
	some note, tt in {
		"another": {"method": "PUT", "list": ["GET"]},
		"empty list": {"method": "GET", "list": []},
		"case counts": {"method": "get", "list": ["GET"]},
		"ANY is no method": {"method": "ANY", "list": ["GET"]},
	}
	not methods.listed(tt.method, tt.list)
}
