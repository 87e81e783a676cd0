//! Certificates for tests: an authority, and what it signs.

use base64::{Engine, engine::general_purpose::STANDARD};
use graviola::{
    hashing::Sha256,
    random,
    signing::{
        ecdsa::{self, P256},
        eddsa::Ed25519SigningKey,
        rsa,
    },
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};

use crate::Error;

/// What kind of key a certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// On the curve P-256.
    #[default]
    Ecdsa,
    /// Ed25519.
    Ed25519,
    /// Of 2048 bits.
    Rsa,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// For decades.
    #[default]
    Now,
    /// Until 2020-02-03.
    Past,
    /// From 2090-02-03 on.
    Future,
}

/// Whom a certificate is for.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The common name.
    pub name: String,
    /// Host names and IP addresses, as subjectAltName.
    pub hosts: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
    /// The kind of its key.
    pub key: KeyKind,
    /// Whether it says that it is an authority's.
    pub is_authority: bool,
}

impl Subject {
    /// A broker at these hosts.
    #[must_use]
    pub fn broker(hosts: &[&str]) -> Self {
        Self {
            name: "broker".to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// A client of this name.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a key of another kind.
    #[must_use]
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.key = kind;
        self
    }

    /// The same at another time.
    #[must_use]
    pub fn valid(mut self, validity: Validity) -> Self {
        self.validity = validity;
        self
    }

    /// The same as an authority, as `openssl req -x509` makes them.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.is_authority = true;
        self
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(self.hosts.clone()).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::CommonName, self.name.as_str());
        (params.not_before, params.not_after) = match self.validity {
            Validity::Now => (date_time_ymd(2020, 2, 3), date_time_ymd(2090, 2, 3)),
            Validity::Past => (date_time_ymd(2019, 2, 3), date_time_ymd(2020, 2, 3)),
            Validity::Future => (date_time_ymd(2090, 2, 3), date_time_ymd(2091, 2, 3)),
        };
        let mut number = [0; 8];
        random::fill(&mut number).map_err(failed)?;
        number[0] = 1;
        params.serial_number = Some(SerialNumber::from_slice(&number));
        params.key_identifier_method = KeyIdMethod::PreSpecified(number.to_vec());
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::DigitalSignature,
            ];
        } else {
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
        }
        Ok(params)
    }

    /// A certificate that its own key has signed.
    ///
    /// # Errors
    ///
    /// When a host is no name, or the processor lacks what the keys need.
    pub fn self_signed(&self) -> Result<Issued, Error> {
        let key = Key::generate(self.key)?;
        let certificate = self.params()?.self_signed(&key).map_err(failed)?;
        Issued::of(&certificate, &key)
    }
}

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: Certificate,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    ///
    /// As [`Subject::self_signed`].
    pub fn new(name: &str) -> Result<Self, Error> {
        let key = Key::generate(KeyKind::Ecdsa)?;
        let params = Subject::client(name).authority().params()?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            issuer,
            certificate,
        })
    }

    /// Its own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A new key with a certificate for it.
    ///
    /// # Errors
    ///
    /// As [`Subject::self_signed`].
    pub fn issue(&self, subject: &Subject) -> Result<Issued, Error> {
        let key = Key::generate(subject.key)?;
        let certificate = subject.params()?.signed_by(&key, &self.issuer);
        Issued::of(&certificate.map_err(failed)?, &key)
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    /// As PEM.
    pub certificate: String,
    /// PKCS#8, as PEM.
    pub key: String,
}

impl Issued {
    fn of(certificate: &Certificate, key: &Key) -> Result<Self, Error> {
        Ok(Self {
            certificate: certificate.pem(),
            key: pem("PRIVATE KEY", &key.to_pkcs8()?),
        })
    }

    /// Key and certificate in one, as Kafka wants a key store in PEM.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.key, self.certificate)
    }
}

/// Bytes as PEM.
#[must_use]
pub fn pem(label: &str, bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text += line;
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

struct Key {
    kind: Kind,
    /// The public key's bits.
    public: Vec<u8>,
}

enum Kind {
    Ecdsa(ecdsa::SigningKey<P256>),
    Ed25519(Ed25519SigningKey),
    Rsa(Box<rsa::SigningKey>),
}

impl Key {
    fn generate(kind: KeyKind) -> Result<Self, Error> {
        // Longer than any of them.
        let mut buffer = [0; 4096];
        let (kind, public) = match kind {
            KeyKind::Ecdsa => {
                let key = ecdsa::SigningKey::<P256>::generate().map_err(failed)?;
                let info = key.to_spki_der(&mut buffer).map_err(failed)?;
                // An uncompressed point, with which the structure ends.
                let point = info.len() - 65;
                let public = info.get(point..).unwrap_or_default().to_vec();
                (Kind::Ecdsa(key), public)
            }
            KeyKind::Ed25519 => {
                let key = Ed25519SigningKey::generate().map_err(failed)?;
                let public = key.public_key().as_bytes().to_vec();
                (Kind::Ed25519(key), public)
            }
            KeyKind::Rsa => {
                let key = rsa::SigningKey::generate(rsa::KeySize::Rsa2048).map_err(failed)?;
                let public = key.public_key().to_pkcs1_der(&mut buffer);
                let public = public.map_err(failed)?.to_vec();
                (Kind::Rsa(Box::new(key)), public)
            }
        };
        Ok(Self { kind, public })
    }

    fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        let mut buffer = [0; 4096];
        let der = match &self.kind {
            Kind::Ecdsa(key) => key.to_pkcs8_der(&mut buffer),
            Kind::Ed25519(key) => key.to_pkcs8_der(&mut buffer),
            Kind::Rsa(key) => key.to_pkcs8_der(&mut buffer),
        };
        Ok(der.map_err(failed)?.to_vec())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.kind {
            Kind::Ecdsa(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Kind::Ed25519(_) => &rcgen::PKCS_ED25519,
            Kind::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut buffer = [0; 512];
        let signed = match &self.kind {
            Kind::Ecdsa(key) => key.sign_asn1::<Sha256>(&[message], &mut buffer),
            Kind::Ed25519(key) => return Ok(key.sign(message).to_vec()),
            Kind::Rsa(key) => key.sign_pkcs1_sha256(&mut buffer, message),
        };
        signed
            .map(<[u8]>::to_vec)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn failed(error: impl std::fmt::Debug) -> Error {
    Error::Invalid(format!("making a certificate: {error:?}"))
}
