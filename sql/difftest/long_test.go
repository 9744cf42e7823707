package difftest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var long = flag.Duration("long", 0, "how long TestLong goes on with the generated tests in turns, each turn with a seed of its own")

// turns are the tests that TestLong repeats. Each makes all that it does of
// the flags, so that one which failed can be repeated by itself.
var turns = []struct {
	name string
	run  func(*testing.T)
}{
	{"TestGeneratedStatements", TestGeneratedStatements},
	{"TestGeneratedClauses", TestGeneratedClauses},
	{"TestGeneratedSchemas", TestGeneratedSchemas},
	{"TestGeneratedWindows", TestGeneratedWindows},
	{"TestPlans", TestPlans},
	{"TestTotals", TestTotals},
	{"TestTemporaryObjects", TestTemporaryObjects},
	{"TestShapes", TestShapes},
	{"TestCollations", TestCollations},
	{"TestUpserts", TestUpserts},
	{"TestReplace", TestReplace},
	{"TestSavepoints", TestSavepoints},
	{"TestCorrelated", TestCorrelated},
	{"TestDocuments", TestDocuments},
	{"TestCalendar", TestCalendar},
	{"TestNestedTriggers", TestNestedTriggers},
	{"TestAlter", TestAlter},
	{"TestAlterNames", TestAlterNames},
	{"TestArithmetic", TestArithmetic},
	{"TestCast", TestCast},
	{"TestAffinity", TestAffinity},
	{"TestComparison", TestComparison},
	{"TestComparisonAffinity", TestComparisonAffinity},
	{"TestTruth", TestTruth},
	{"TestRealText", TestRealText},
	{"TestGroupKey", TestGroupKey},
	{"TestScalarsOfOne", TestScalarsOfOne},
	{"TestScalarsOfTwo", TestScalarsOfTwo},
	{"TestScalarsOfThree", TestScalarsOfThree},
	{"TestCollatedScalars", TestCollatedScalars},
	{"TestPatterns", TestPatterns},
	{"TestMath", TestMath},
	{"TestRound", TestRound},
	{"TestPrintf", TestPrintf},
	{"TestAggregates", TestAggregates},
	{"TestExactMath", TestExactMath},
	{"TestJSONOfOne", TestJSONOfOne},
	{"TestJSONPaths", TestJSONPaths},
	{"TestJSONEdits", TestJSONEdits},
	{"TestJSONBuild", TestJSONBuild},
	{"TestJSONAggregates", TestJSONAggregates},
	{"TestJSONTables", TestJSONTables},
	{"TestJSONB", TestJSONB},
	{"TestJSONBBuild", TestJSONBBuild},
	{"TestJSONBAggregates", TestJSONBAggregates},
	{"TestJSONBTables", TestJSONBTables},
	{"TestJSONBDepth", TestJSONBDepth},
	{"TestJSONBSizes", TestJSONBSizes},
	{"TestDates", TestDates},
	{"TestStrftime", TestStrftime},
}

// failedMax is how many tests of TestLong may fail before it gives up.
const failedMax = 30

// TestLong is the long form: the generated tests in turns, with the seed -seed,
// the next one and so on, until the time is over.
func TestLong(t *testing.T) {
	if *long == 0 {
		t.Skip("-long 10m goes on for ten minutes")
	}
	first, valueFirst := *seed, *valueSeed
	defer func() { *seed, *valueSeed = first, valueFirst }()
	s := first
	if s == 0 {
		s = rand.Uint64()
	}
	began := time.Now()
	failed, nRun := 0, 0
	for ; time.Since(began) < *long; s++ {
		for _, turn := range turns {
			if time.Since(began) >= *long {
				break
			}
			*seed, *valueSeed = s, s
			if s == 0 {
				continue // it stands for a random one
			}
			nRun++
			if t.Run(fmt.Sprintf("%s/%d", turn.name, s), turn.run) {
				continue
			}
			t.Logf("again: -test.run '^%s$' -seed %d -value.seed %d -statements %d -schemas %d", turn.name, s, s, *statements, *schemas)
			if failed++; failed == failedMax {
				t.Fatal("that is enough")
			}
		}
	}
	t.Logf("%d tests, seeds %d to %d, %v", nRun, first, s, time.Since(began).Round(time.Second))
}
