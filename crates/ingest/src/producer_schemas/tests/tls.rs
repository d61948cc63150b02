//! The registry with TLS: a server whose certificate is trusted only through the configured
//! authorities.

use std::io::{Read, Write};
use std::net::TcpListener;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::*;

fn key() -> PKey<Private> {
    let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(openssl::ec::EcKey::generate(&curve).unwrap()).unwrap()
}

fn certificate(name: &str, serial: u32, key: &PKey<Private>) -> X509Builder {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    builder
}

/// Returns an authority in PEM, and the URL of a registry on 127.0.0.1 whose certificate it signed
/// for `name`.
fn registry_for(name: &str) -> (Vec<u8>, String) {
    let authority_key = key();
    let mut authority = certificate("test authority", 1, &authority_key);
    authority
        .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
        .unwrap();
    authority
        .sign(&authority_key, MessageDigest::sha256())
        .unwrap();
    let authority = authority.build();

    let server_key = key();
    let mut server = certificate("test registry", 2, &server_key);
    server.set_issuer_name(authority.subject_name()).unwrap();
    let mut names = SubjectAlternativeName::new();
    if name.parse::<std::net::IpAddr>().is_ok() {
        names.ip(name)
    } else {
        names.dns(name)
    };
    let names = names
        .build(&server.x509v3_context(Some(&authority), None))
        .unwrap();
    server.append_extension(names).unwrap();
    server
        .sign(&authority_key, MessageDigest::sha256())
        .unwrap();

    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&server_key).unwrap();
    acceptor.set_certificate(&server.build()).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream.unwrap()) else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]);
            let body = serde_json::json!({ "schema": OTHER }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
            let _ = stream.shutdown();
        }
    });
    (authority.to_pem().unwrap(), url)
}

fn tried(url: &str, authorities: Option<&[u8]>) -> RegistryFixture {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = config(url, RegistryAuth::Bearer(Secret::new("hunter2")));
    registry.timeout = Duration::from_secs(10);
    if let Some(pem) = authorities {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        registry.ca = Some(file);
    }
    make(Some(registry), None).unwrap()
}

#[tokio::test]
async fn a_registry_whose_authority_is_configured_is_trusted() {
    let (authority, url) = registry_for("127.0.0.1");
    assert!(tried(&url, Some(&authority)).id(1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_registry_of_an_unknown_authority_is_silence_and_gets_no_credential() {
    let (_, url) = registry_for("127.0.0.1");
    let (stranger, _) = registry_for("127.0.0.1");
    for authorities in [None, Some(stranger.as_slice())] {
        let why = tried(&url, authorities).silence(1).await.to_string();
        assert!(why.contains("certificate"), "{why}");
    }
}

#[tokio::test]
async fn a_registry_with_the_certificate_of_another_host_is_silence() {
    let (authority, url) = registry_for("elsewhere.example");
    let why = tried(&url, Some(&authority)).silence(1).await.to_string();
    assert!(why.contains("certificate"), "{why}");
}
