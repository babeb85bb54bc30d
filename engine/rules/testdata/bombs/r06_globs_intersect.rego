# regex.globs_match star runs
package authz

allow if regex.globs_match("[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*[a-c]*x","[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*[b-d]*y")
