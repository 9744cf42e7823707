// Package toxitest puts a network that fails, toxiproxy, between the AWS SDK in
// an open database and a development KMS: late, hung, reset, cut in the middle
// of a body, slow, down; while the database is created, opened, probed and its
// key wrapped anew.
//
// It is a module of its own because of what toxiproxy depends on.
package toxitest
