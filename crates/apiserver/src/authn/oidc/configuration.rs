//! Issuers of tokens and who is nobody, as flags and the configuration file say it, in upstream's names.

use crate::configuration_file::ConfigurationError;
use serde::Deserialize;
use std::path::PathBuf;

/// The content of an `AuthenticationConfiguration`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Configuration {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) jwt: Vec<JwtEntry>,
    pub(crate) anonymous: Option<Anonymous>,
}

/// Whether requests without credentials are the anonymous user's, and to which paths.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Anonymous {
    pub(crate) enabled: bool,
    pub(crate) conditions: Vec<AnonymousCondition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AnonymousCondition {
    pub(crate) path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct JwtEntry {
    pub(crate) issuer: Issuer,
    pub(crate) claim_validation_rules: Vec<ClaimRule>,
    pub(crate) claim_mappings: ClaimMappings,
    pub(crate) user_validation_rules: Vec<UserRule>,
    /// Of the flags only: empty for every algorithm that there is.
    #[serde(skip)]
    pub(crate) algorithms: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Issuer {
    pub(crate) url: String,
    #[serde(rename = "discoveryURL")]
    pub(crate) discovery_url: String,
    pub(crate) certificate_authority: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) audience_match_policy: String,
    pub(crate) egress_selector_type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct ClaimRule {
    pub(crate) claim: String,
    pub(crate) required_value: String,
    pub(crate) expression: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UserRule {
    pub(crate) expression: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClaimMappings {
    pub(crate) username: Mapping,
    pub(crate) groups: Mapping,
    pub(crate) uid: Mapping,
    pub(crate) extra: Vec<ExtraMapping>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mapping {
    pub(crate) claim: String,
    pub(crate) prefix: Option<String>,
    pub(crate) expression: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct ExtraMapping {
    pub(crate) key: String,
    pub(crate) value_expression: String,
}

/// What the flags `--oidc-*` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidcOptions {
    pub issuer_url: Option<String>,
    pub client_id: Option<String>,
    pub username_claim: Option<String>,
    pub username_prefix: Option<String>,
    pub groups_claim: Option<String>,
    pub groups_prefix: Option<String>,
    /// `KEY=VALUE` each.
    pub required_claims: Vec<String>,
    pub ca_file: Option<PathBuf>,
    pub signing_algs: Vec<String>,
}

impl OidcOptions {
    /// The one issuer that the flags name; `None` without flags.
    pub(crate) fn entry(&self) -> Result<Option<JwtEntry>, ConfigurationError> {
        if *self == OidcOptions::default() {
            return Ok(None);
        }
        let (Some(url), Some(client_id)) = (&self.issuer_url, &self.client_id) else {
            let why = "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set";
            return Err(ConfigurationError::Flags(why.to_owned()));
        };
        let username = self.username_claim.clone().unwrap_or_else(|| "sub".to_owned());
        let prefix = match self.username_prefix.as_deref().unwrap_or_default() {
            // Names that are no addresses could be anybody's: they carry their issuer.
            "" if username != "email" => format!("{url}#"),
            "-" => String::new(),
            prefix => prefix.to_owned(),
        };
        let rule = |pair: &String| {
            let (claim, value) = pair.split_once('=').ok_or_else(|| {
                ConfigurationError::Flags(format!("--oidc-required-claim: {pair:?} is not of the form KEY=VALUE"))
            })?;
            Ok(ClaimRule { claim: claim.to_owned(), required_value: value.to_owned(), ..ClaimRule::default() })
        };
        let rules: Vec<ClaimRule> = self.required_claims.iter().map(rule).collect::<Result<_, ConfigurationError>>()?;
        let groups = self.groups_claim.as_ref().map(|claim| Mapping {
            claim: claim.clone(),
            prefix: Some(self.groups_prefix.clone().unwrap_or_default()),
            ..Mapping::default()
        });
        let authority = self.ca_file.as_deref().map(crate::configuration_file::text).transpose()?;
        let algorithms = self.signing_algs.clone();
        Ok(Some(JwtEntry {
            issuer: Issuer {
                url: url.clone(),
                certificate_authority: authority.unwrap_or_default(),
                audiences: vec![client_id.clone()],
                ..Issuer::default()
            },
            claim_validation_rules: rules,
            claim_mappings: ClaimMappings {
                username: Mapping { claim: username, prefix: Some(prefix), ..Mapping::default() },
                groups: groups.unwrap_or_default(),
                ..ClaimMappings::default()
            },
            user_validation_rules: Vec::new(),
            algorithms: if algorithms.is_empty() { vec!["RS256".to_owned()] } else { algorithms },
        }))
    }
}
