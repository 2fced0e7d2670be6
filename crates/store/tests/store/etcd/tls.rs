//! Members that ask for a certificate.

use super::member::{Certificates, Member, address, installed, open};
use crate::suite::{batches, commit, put};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::time::Duration;
use store::{Etcd, EtcdOptions, EtcdTls, Revision, Store};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(authority: &Authority) -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress(address().into())];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    if !installed() {
        return;
    }
    let own = authority();
    let (certificate, key) = signed(&own);
    let member = Member::cluster(1, &[], Some(&Certificates { ca: own.pem(), certificate, key })).remove(0);
    let identity = |authority| {
        let (certificate, key) = signed(authority);
        Some((certificate.into_bytes(), key.into_bytes()))
    };
    let tls = |ca: &Authority, identity| EtcdOptions {
        tls: Some(EtcdTls { ca: ca.pem().into_bytes(), identity }),
        ..member.options()
    };
    let store = open(tls(&own, identity(&own))).await;
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    assert_eq!(commit(&store, vec![put("a", "1")]).await, Revision(1));
    assert_eq!(batches(&mut *watch, 1).await.concat().len(), 1);

    let stranger = authority();
    for wrong in [tls(&own, None), tls(&own, identity(&stranger)), tls(&stranger, identity(&own))] {
        let refused = Etcd::open(EtcdOptions { patience: Duration::from_millis(300), ..wrong }).await;
        assert!(refused.is_err(), "a stranger was let in");
    }
    let plain = EtcdOptions { tls: None, ..member.options() };
    let Err(error) = Etcd::open(plain).await else { panic!("https without authorities") };
    assert!(format!("{error:?}").contains("authorities"), "{error:?}");
}
