//! Within which time a request that does not stream is answered: what its `timeout` says, and at most what the server says.

use crate::go_time;
use crate::http::{Answer, Query};
use api::{Reason, Status};
use std::time::Duration;

/// Where the server was told nothing else.
pub(crate) const DEFAULT: Duration = Duration::from_secs(60);

/// A timeout of nothing is none.
pub(crate) fn of(query: &Query, longest: Duration) -> Result<Duration, Status> {
    let text = query.get("timeout");
    if text.is_empty() {
        return Ok(longest);
    }
    let asked = go_time::parse(text).ok_or_else(|| {
        let message = "invalid timeout specified in the request URL";
        Status::bad_request(format!("{message} - time: invalid duration {text:?}"))
    })?;
    Ok(if asked.is_zero() { longest } else { asked.min(longest) })
}

/// Answers for the request when its time is over.
pub(crate) async fn keep(
    limit: Duration,
    answered: impl Future<Output = Result<Answer, Status>>,
) -> Result<Answer, Status> {
    tokio::time::timeout(limit, answered).await.unwrap_or_else(|_| {
        let message = "Timeout: request did not complete within requested timeout";
        Err(Status::new(Reason::Timeout, format!("{message} - context deadline exceeded")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_ask_for_less_time_and_not_for_more() {
        let seconds = |query: &str| of(&Query::parse(query), DEFAULT).map(|limit| limit.as_secs());
        for (query, wanted) in [("", 60), ("timeout=5s", 5), ("timeout=5m", 60), ("timeout=0", 60), ("a=b", 60)] {
            assert_eq!(seconds(query).ok(), Some(wanted), "{query}");
        }
        let refused = seconds("timeout=soon").unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "invalid timeout specified in the request URL - time: invalid duration \"soon\"")
        );
    }
}
