//! What looks like a secret. Settings are shown to people and kept in plans' hashes and logs, so none may stand there.

/// Endings of the names of what holds a secret.
const ENDINGS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "connection_string",
    "credentials",
];

/// Whether the name of a variable or a setting says that it holds a secret.
pub(crate) fn is_named_so(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a URL in the text names a user, who as a rule comes with a password.
pub(super) fn has_user(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_a_secret_by_its_end_however_it_is_written() {
        for name in ["db_password", "Slack-Token", "AWS_SECRET_ACCESS_KEY", "client-secret", "apiKey"] {
            assert!(is_named_so(name), "{name}");
        }
        for name in ["secret_name", "token-ttl", "table", "password-policy-arn", "key"] {
            assert!(!is_named_so(name), "{name}");
        }
    }

    #[test]
    fn a_url_with_a_user_is_seen_wherever_it_stands() {
        for text in ["https://me:pw@host/x", "see amqp://u@h and http://b", "a://b c://d:e@f"] {
            assert!(has_user(text), "{text}");
        }
        for text in ["https://host/a@b", "https://host?mail=a@b", "a@b", "arn:aws:s3:::x", "://"] {
            assert!(!has_user(text), "{text}");
        }
    }
}
