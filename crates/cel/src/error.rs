//! Why an evaluation failed, in upstream's words.

/// A failure. All but the last two are absorbed by `&&` and `||` where the other side decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("no such overload")]
    NoSuchOverload,
    /// A function that has no overload for these types.
    #[error("no such overload: {0}")]
    NoSuchOverloadOf(String),
    #[error("no such key: {0}")]
    NoSuchKey(String),
    #[error("no such attribute(s): {0}")]
    NoSuchAttribute(String),
    #[error("index out of bounds: {0}")]
    IndexOutOfBounds(i64),
    #[error("division by zero")]
    DivisionByZero,
    #[error("modulus by zero")]
    ModulusByZero,
    #[error("integer overflow")]
    IntegerOverflow,
    #[error("unsigned integer overflow")]
    UnsignedIntegerOverflow,
    #[error("duration overflow")]
    DurationOverflow,
    #[error("timestamp overflow")]
    TimestampOverflow,
    /// What a function says of its arguments.
    #[error("{0}")]
    Failed(String),
    #[error("operation cancelled: actual cost limit exceeded")]
    CostLimitExceeded,
    #[error("operation interrupted")]
    Interrupted,
}

impl EvalError {
    pub(crate) fn failed(message: impl Into<String>) -> EvalError {
        EvalError::Failed(message.into())
    }

    /// Whether the evaluation stops, whatever stands around it.
    pub fn is_final(&self) -> bool {
        matches!(self, EvalError::CostLimitExceeded | EvalError::Interrupted)
    }
}
