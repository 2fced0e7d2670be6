//! The bounds of a connection. A peer that goes beyond one loses the stream, or the connection where it says so.

use std::time::Duration;

/// Streams that are open at once; more are refused. `kubectl port-forward` has two for each connection it carries.
pub const STREAMS_MAX: usize = 1024;
/// Bytes of a stream that wait for its reader; then the connection is not read on. The clients know no windows (theirs
/// is a library that passes over them), so that TCP's window is the only one that holds them back.
pub const INBOX_BYTES_MAX: usize = 32 << 10;
/// The longest piece in which data is handed on. A data frame may be longer: it comes in pieces.
pub const DATA_BYTES_MAX: usize = 16 << 10;
/// The longest frame that is no data; beyond it the connection ends.
pub const CONTROL_BYTES_MAX: usize = 16 << 10;
/// The longest block of headers once it is inflated; beyond it the connection ends.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Headers of one stream.
pub const HEADERS_MAX: usize = 128;
/// Pieces of data that wait to be sent, of all streams together.
pub(crate) const OUTBOX_PIECES: usize = 16;
/// Frames that are no data and wait to be sent; a peer that asks for answers and does not read them loses the
/// connection.
pub(crate) const CONTROLS_MAX: usize = 4 * STREAMS_MAX;
/// Streams that the peer opened and nobody took yet.
pub(crate) const UNACCEPTED_MAX: usize = 64;
/// How long a connection that is closed here is still read, so that the peer reads the end before a reset.
pub const LINGER: Duration = Duration::from_secs(5);
/// How long a stream's opening may go unanswered, as upstream's clients wait.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
