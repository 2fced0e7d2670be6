//! `image`: the node's images, worked on directly in its store.
pub(crate) fn image(_command: crate::cli::ImageCommand) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
