package engine

// invariant panics if what must hold in correct code does not: a fault of ours,
// never a property of a file, an argument or a provider.
func invariant(holds bool, what string) {
	if !holds {
		panic("byokdb/engine: invariant violated: " + what)
	}
}
