//! Bytes that nobody can guess, from the operating system.

use ring::rand::{SecureRandom, SystemRandom};

pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(bytes)
}
