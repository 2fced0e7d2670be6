//! The server's certificates made anew before they end, while it runs.
//!
//! Invariants: connections go on, and whoever connects later is shown the new certificate; the admin's kubeconfig is
//! replaced as a whole. Authorities are not made anew: who trusts them could not know.

use crate::files;
use crate::roles::background;
use crate::roles::server::{now, server_names};
use crate::settings::Settings;
use anyhow::{Context, Result};
use apiserver::Backend;
use apiserver::callout::Identity;
use apiserver::pki::{Pki, ServerNames, ShownCertificate, kept, kubeconfig, lacks_leaves};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The clock may be set, the machine sleep, and `certs rotate` be called: this often it is looked at, at least.
const LOOK_SECONDS: i64 = 10;
/// Between two renewals, when an authority's end leaves their certificates no time.
const PAUSE_SECONDS: i64 = 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// Leaves live no longer than their authority: from here on they are shorter than they should be.
const AUTHORITY_WARNING_SECONDS: i64 = 365 * DAY_SECONDS;
const WARN_EVERY_SECONDS: i64 = DAY_SECONDS;

/// What is shown to others, and where it is kept.
pub(super) struct Renewal {
    pub(super) serving: Arc<ShownCertificate>,
    pub(super) to_kubelets: Arc<ShownCertificate>,
    /// To the API servers behind this one.
    pub(super) front_proxy: watch::Sender<Identity>,
    folder: PathBuf,
    names: ServerNames,
    kubeconfig: PathBuf,
    server_url: String,
}

impl Renewal {
    pub(super) fn new(settings: &Settings, pki: &Pki) -> Result<Renewal> {
        Ok(Renewal {
            serving: Arc::new(ShownCertificate::new(&pki.apiserver)?),
            to_kubelets: Arc::new(ShownCertificate::new(&pki.kubelet_client)?),
            front_proxy: watch::Sender::new(pki.front_proxy_identity()),
            folder: settings.data_dir.join("pki"),
            names: server_names(settings),
            kubeconfig: settings.data_dir.join("admin.kubeconfig"),
            server_url: settings.server_url(),
        })
    }

    /// Writes the admin's kubeconfig, and looks after everything from now on.
    pub(super) fn start(self, pki: &Pki, backend: &Backend) -> Result<()> {
        self.write_kubeconfig(pki)?;
        let folder = self.folder.clone();
        backend.show_metrics(Box::new(move |out| write_ends(&folder, out)));
        let (own, due) = (Arc::new(self), pki.due());
        background::keep("renewal of certificates", move || own.clone().run(due));
        Ok(())
    }

    async fn run(self: Arc<Self>, mut due: i64) -> Result<()> {
        let mut warned = 0;
        loop {
            tokio::time::sleep(until(due, now())).await;
            if now() >= warned + WARN_EVERY_SECONDS {
                self.warn(now());
                warned = now();
            }
            // Who takes a certificate away wants another one.
            if now() < due && !lacks_leaves(&self.folder) {
                continue;
            }
            let own = self.clone();
            let next =
                tokio::task::spawn_blocking(move || own.renew(now())).await.context("renewing certificates")??;
            tracing::info!("the server's certificates were made anew");
            due = next.max(now() + PAUSE_SECONDS);
        }
    }

    /// Makes anew what is due; when that is the next time.
    fn renew(&self, now: i64) -> Result<i64> {
        let pki = Pki::open(&self.folder, &self.names, now).context("making certificates anew")?;
        self.serving.replace(&pki.apiserver)?;
        self.to_kubelets.replace(&pki.kubelet_client)?;
        self.front_proxy.send_replace(pki.front_proxy_identity());
        self.write_kubeconfig(&pki)?;
        Ok(pki.due())
    }

    /// Says that an authority ends soon: nobody makes it anew but its owner.
    fn warn(&self, now: i64) {
        let ends = match kept(&self.folder) {
            Ok(ends) => ends,
            Err(error) => return tracing::warn!(%error, "when the cluster's certificates end is not known"),
        };
        for authority in ends.iter().filter(|own| own.is_authority && own.not_after < now + AUTHORITY_WARNING_SECONDS) {
            let days = (authority.not_after - now) / DAY_SECONDS;
            tracing::warn!(authority = authority.name, days, "a certificate authority of the cluster ends soon");
        }
    }

    fn write_kubeconfig(&self, pki: &Pki) -> Result<()> {
        let (authority, admin) = (pki.server_ca.bundle_pem(), &pki.admin);
        let text = kubeconfig(&self.server_url, authority, admin.certificate_pem(), admin.key_pem());
        files::write_private(&self.kubeconfig, text.as_bytes())
    }
}

/// Of each certificate when it ends, for `/metrics`.
fn write_ends(folder: &Path, out: &mut String) {
    const NAME: &str = "sampan_certificate_expiration_timestamp_seconds";
    let ends = match kept(folder) {
        Ok(ends) => ends,
        Err(error) => return tracing::warn!(%error, "when the cluster's certificates end is not known"),
    };
    out.push_str(&format!("# HELP {NAME} When a certificate of the cluster ends, in seconds since the epoch.\n"));
    out.push_str(&format!("# TYPE {NAME} gauge\n"));
    for own in ends {
        let (name, authority, end) = (own.name, own.is_authority, own.not_after);
        out.push_str(&format!("{NAME}{{certificate=\"{name}\",authority=\"{authority}\"}} {end}\n"));
    }
}

fn until(due: i64, now: i64) -> Duration {
    Duration::from_secs(due.saturating_sub(now).clamp(0, LOOK_SECONDS).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_looked_at_when_it_is_due_and_every_few_seconds() {
        for (due, now, seconds) in [(100, 94, 6), (100, 100, 0), (100, 200, 0), (1_000_000, 0, 10)] {
            assert_eq!(until(due, now), Duration::from_secs(seconds), "{due} {now}");
        }
    }
}
