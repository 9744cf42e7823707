package exec

import (
	"sync"

	"github.com/byokdb/byokdb/sql/schema"
)

// planCache keeps plans by text: those of a database, or of a session that has
// temporary objects, where names may mean something else. Its zero value is not
// ready: see clearPlans.
type planCache struct {
	mu     sync.Mutex
	plans  [2]map[string]*plan // without and with foreign keys
	shapes [2]map[string]*plan // of texts whose literals were taken out
	schema *schema.Schema      // as it was seen last; nil after a wipe
}

// clearPlans drops everything.
func (c *planCache) clearPlans() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plans, c.shapes, c.schema = noPlans(), noPlans(), nil
}

func noPlans() [2]map[string]*plan { return [2]map[string]*plan{{}, {}} }

// planKind is the index in planCache.plans.
func planKind(foreignKeys bool) int {
	if foreignKeys {
		return 1
	}
	return 0
}

// cached returns the plan of a text, nil when there is none. Foreign keys do
// not matter to BEGIN and its kin.
func (c *planCache) cached(text string, foreignKeys bool) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.plans[planKind(foreignKeys)][text]; p != nil || !foreignKeys {
		return p
	}
	if p := c.plans[planKind(false)][text]; p != nil && p.control {
		return p
	}
	return nil
}

// shape returns what is known of a text without literals, nil for nothing. What
// was refused under another schema may have to be allowed now.
func (c *planCache) shape(text []byte, foreignKeys bool) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.shapes[planKind(foreignKeys)][string(text)]
	if p != nil && p.refused && c.schema != nil && !p.fits(c.schema) {
		return nil
	}
	return p
}

// keep puts a plan into the cache. c.mu is held.
func (c *planCache) keep(text string, p *plan) { keepPlan(c.plans[planKind(p.keys)], text, p) }

func keepPlan(plans map[string]*plan, text string, p *plan) {
	if len(plans) >= plansMax {
		clear(plans)
	}
	plans[text] = p
}

// fits reports whether a plan is one for a schema.
func (p *plan) fits(s *schema.Schema) bool { return p.version == s.Version && p.temp == s.Temp() }
