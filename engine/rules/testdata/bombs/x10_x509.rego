# x509 parse of 20 MB junk
package authz

allow if { s := sprintf("%1000000d",[1]); t := concat("",[s|some i in numbers.range(1,20)]); crypto.x509.parse_certificates(t) == 1 }
