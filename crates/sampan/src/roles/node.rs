//! The node process: runtime, pod network, service rules, names, kubelet.
use crate::settings::Settings;
pub(crate) async fn run(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
