// Cipher measures what encryption costs: the benchmarks of package bench, built
// with the cipher and with one that copies, run in turns.
//
//	go run ./bench/cipher
//
// The cost is the median of the rounds' quotients; beside it the quartiles. It
// says nothing where they disagree about the sign.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tag builds the engine with a cipher that copies; see docs/adr/0022.
const tag = "byokdb_benchmark_plaintext"

// works are patterns of -bench, each run by itself so that both builds run it
// within seconds of each other.
var works = []string{
	"^BenchmarkGet$/^value=100$/^goroutines=1$", "^BenchmarkGetTx$/^goroutines=1$", "^BenchmarkScan$/^value=100$/^direction=forwards$",
	"^BenchmarkCold$/^get$", "^BenchmarkLoad$/^order=random$/^value=(100|1024)$", "^BenchmarkUpdate$",
	"^BenchmarkCommit$/^value=100$/^writers=(1|16)$", "^BenchmarkFlush$", "^BenchmarkCompact$", "^BenchmarkLarge$",
	"^BenchmarkYCSB$/^workload=(A|C|E)$/^goroutines=1$",
}

// A Cost is what encryption adds to a benchmark's time per operation, in percent.
type Cost struct {
	Name   string    `json:"name"`
	Median float64   `json:"median"`
	Q1     float64   `json:"q1"`
	Q3     float64   `json:"q3"`
	Sealed []float64 `json:"sealed_ns"` // by round
	Copied []float64 `json:"copied_ns"`
}

// Report is the file that -json names.
type Report struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Rounds  int       `json:"rounds"`
	Costs   []Cost    `json:"costs"`
}

func main() {
	rounds := flag.Int("rounds", 9, "rounds; both builds run in each, in an order that changes")
	rows := flag.Int("rows", 200_000, "rows to load before reading")
	benchtime := flag.String("benchtime", "0.5s", "as of go test")
	only := flag.String("bench", "", "a pattern of benchmarks instead of the built-in ones")
	file := flag.String("json", "", "file to write the figures to, such as docs/performance/cipher.json")
	flag.Parse()
	if err := run(*rounds, *rows, *benchtime, *only, *file); err != nil {
		fmt.Fprintln(os.Stderr, "cipher:", err)
		os.Exit(1)
	}
}

func run(rounds, rows int, benchtime, only, file string) (err error) {
	if rounds < 1 || rows < 1 {
		return errors.New("bad arguments; see -help")
	}
	if only != "" {
		works = []string{only}
	}
	dir, err := os.MkdirTemp("", "byokdb-cipher-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sealed, copied := filepath.Join(dir, "sealed.test"), filepath.Join(dir, "copied.test")
	for program, tags := range map[string]string{sealed: "", copied: tag} {
		out, err := exec.Command("go", "test", "-c", "-tags", tags, "-o", program, "github.com/byokdb/byokdb/bench").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	figures := map[string]map[string][]float64{sealed: {}, copied: {}}
	var names []string
	args := []string{"-test.run", "^$", "-test.benchtime", benchtime, "-rows", strconv.Itoa(rows), "-test.bench"}
	for round := range rounds {
		order := []string{sealed, copied}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, work := range works {
			for _, program := range order {
				out, err := exec.Command(program, append(slices.Clip(args), work)...).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", work, err, out)
				}
				for name, ns := range parse(bytes.NewReader(out)) {
					figures[program][name] = append(figures[program][name], ns)
					if !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
	}
	if len(names) == 0 {
		return errors.New("no benchmark ran")
	}
	slices.Sort(names)
	r := Report{Date: time.Now().UTC().Truncate(time.Second), Command: strings.Join(append([]string{"go", "run", "./bench/cipher"}, os.Args[1:]...), " "), Rounds: rounds}
	for _, name := range names {
		r.Costs = append(r.Costs, costOf(name, figures[sealed][name], figures[copied][name]))
	}
	r.print(os.Stdout)
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(&r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// parse returns the time per operation of each benchmark in the output of one.
func parse(r io.Reader) map[string]float64 {
	found := map[string]float64{}
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") || f[3] != "ns/op" {
			continue
		}
		if ns, err := strconv.ParseFloat(f[2], 64); err == nil {
			name := strings.TrimPrefix(f[0], "Benchmark")
			if i := strings.LastIndexByte(name, '-'); i > 0 { // the number of processors
				name = name[:i]
			}
			found[name] = ns
		}
	}
	return found
}

// costOf pairs the rounds.
func costOf(name string, sealed, copied []float64) Cost {
	var percents []float64
	for i := range min(len(sealed), len(copied)) {
		percents = append(percents, 100*(sealed[i]/copied[i]-1))
	}
	return Cost{
		Name: name, Sealed: sealed, Copied: copied,
		Median: quantile(percents, 0.5), Q1: quantile(percents, 0.25), Q3: quantile(percents, 0.75),
	}
}

// quantile interpolates between the two values beside it.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// goal is the most that encryption may cost, in percent.
const goal = 5

// Verdict says whether the goal is reached. Rounds that differ by more than twice
// the goal cannot show that it is.
func (c Cost) Verdict() string {
	switch {
	case c.Q3 <= goal && c.Q3-c.Q1 <= 2*goal:
		return "met"
	case c.Q1 > goal:
		return "not met"
	}
	return "undecided"
}

func (r Report) print(w io.Writer) {
	fmt.Fprintf(w, "| benchmark | cost of encryption | quartiles | at most %d %% |\n| --- | --- | --- | --- |\n", goal)
	for _, c := range r.Costs {
		median := fmt.Sprintf("%+.1f %%", c.Median)
		if c.Q1 <= 0 && c.Q3 >= 0 {
			median = "≈"
		}
		fmt.Fprintf(w, "| %s | %s | %+.1f %% – %+.1f %% | %s |\n", c.Name, median, c.Q1, c.Q3, c.Verdict())
	}
}
