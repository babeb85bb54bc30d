# regex.globs_match plus runs
package authz

allow if regex.globs_match("a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+b","a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+c")
