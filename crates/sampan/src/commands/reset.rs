//! `reset`: ends everything of a data directory and removes it without trace.
pub(crate) fn reset(_args: &crate::cli::ResetArgs) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
