package lib.identity_test

import data.lib.identity

test_proven if {
	every kind in ["jwt", "opaque"] { identity.proven({"kind": kind, "subject": "alice"}) }
}

test_not_proven[note] if {
	some note, tt in {
		"anonymous": {"kind": "anonymous", "subject": ""},
		"anonymous with a name": {"kind": "anonymous", "subject": "alice"},
		"token without a subject": {"kind": "jwt", "subject": ""},
		"no kind": {"subject": "alice"},
		"nothing": {},
	}
	not identity.proven(tt)
}

test_values[note] if {
	some note, tt in {
		"array": {"claims": {"roles": ["viewer", "clerk"]}, "want": {"viewer", "clerk"}},
		"string": {"claims": {"roles": "viewer"}, "want": {"viewer"}},
		"empty array": {"claims": {"roles": []}, "want": set()},
		"absent": {"claims": {}, "want": set()},
		"object": {"claims": {"roles": {"viewer": true}}, "want": set()},
		"number": {"claims": {"roles": 7}, "want": set()},
		"null": {"claims": {"roles": null}, "want": set()},
	}
	identity.values(tt.claims, "roles") == tt.want
}
