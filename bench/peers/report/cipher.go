package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Cipher is what bench/run-cipher has measured: what encryption adds to the time
// of benchmarks, in percent.
type Cipher struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Rounds  int       `json:"rounds"`
	Costs   []struct {
		Name   string  `json:"name"`
		Median float64 `json:"median"`
		Q1     float64 `json:"q1"`
		Q3     float64 `json:"q3"`
	} `json:"costs"`
}

// cipherMax is the goal, in percent.
const cipherMax = 5

// loadCipher returns nil when nothing was measured.
func loadCipher(dir string) (*Cipher, error) {
	b, err := os.ReadFile(filepath.Join(dir, cipherName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := new(Cipher)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("parse %s: %w", cipherName, err)
	}
	return c, nil
}

func (c *Cipher) table(b *strings.Builder) {
	if c == nil {
		return
	}
	fmt.Fprintf(b, "\n## Cost of encryption\n\nThe same benchmarks with the cipher and with one that copies, in turns; %s, %d rounds:\n\n```sh\n%s\n```\n\nMedian of the rounds' quotients, and their quartiles; ≈ where these disagree about the sign.\n\n| benchmark | cost | quartiles | at most %d %% |\n| --- | --- | --- | --- |\n",
		c.Date.UTC().Format("2006-01-02"), c.Rounds, c.Command, cipherMax)
	for _, cost := range c.Costs {
		median := fmt.Sprintf("%+.1f %%", cost.Median)
		if cost.Q1 <= 0 && cost.Q3 >= 0 {
			median = "≈"
		}
		fmt.Fprintf(b, "| %s | %s | %+.1f %% – %+.1f %% | %s |\n", cost.Name, median, cost.Q1, cost.Q3, judge(cost.Q3 <= cipherMax && cost.Q3-cost.Q1 <= 2*cipherMax, cost.Q1 > cipherMax))
	}
}
