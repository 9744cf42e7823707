// Package bench measures the engine alone:
//
//	go test -run '^$' -bench . ./bench
//	go test -run '^$' -bench 'Get|Scan' -count 10 ./bench -rows 1000000 | tee new.txt; benchstat old.txt new.txt
//
// Names hold what is varied as key=value, as benchstat reads it. peers, a module
// of its own, measures the engine beside others; run-cipher measures what
// encryption costs.
package bench
