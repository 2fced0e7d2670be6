//! How much an expression may cost, in upstream's units.

/// What one evaluation of one expression may cost.
pub const PER_CALL_LIMIT: u64 = 1_000_000;

/// What all expressions of one object or policy may cost together when they run.
pub const RUNTIME_BUDGET: u64 = 10_000_000;

/// What one rule of a CustomResourceDefinition may cost by estimate, over all the places where it runs.
pub const ESTIMATE_LIMIT: u64 = 10_000_000;

/// What all rules of a CustomResourceDefinition may cost by estimate together.
pub const ESTIMATE_TOTAL_LIMIT: u64 = 100_000_000;

/// Code points of an expression.
pub(crate) const SOURCE_LENGTH_MAX: usize = 100_000;

/// How deep brackets nest. Upstream allows 250, on stacks that grow; ours have 2 MiB, of which others want some.
pub(crate) const NESTING_MAX: usize = 150;

/// How deep the tree of an expression is, which a chain such as `a + b + c` makes deep as well. Every later step recurses
/// over it.
pub(crate) const DEPTH_MAX: usize = 250;

/// Nodes of an expression's tree, macros expanded.
pub(crate) const NODES_MAX: usize = 200_000;

/// Bytes of a text that an expression makes. Upstream bounds it by cost alone, which `replace` and `join` get around.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Items of a list that an expression makes. Upstream's `+` costs 1 whatever the lists' sizes.
pub(crate) const LIST_LENGTH_MAX: usize = 1_000_000;

/// Rounds of comprehensions between two looks at whether to stop.
pub(crate) const ROUNDS_BETWEEN_INTERRUPT_CHECKS: u32 = 100;

/// What bounds one evaluation.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The cost above which the evaluation fails.
    pub cost: u64,
    /// Asked now and then whether to stop.
    pub interrupt: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Limits { cost: PER_CALL_LIMIT, interrupt: None }
    }
}
