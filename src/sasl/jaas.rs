//! `sasl.jaas.config`: the line that Java's users paste, read as Java's `JaasConfig` reads it.

use std::iter::Peekable;
use std::str::Chars;

use super::secret::Secret;

/// A login module with its options.
#[derive(Clone, Debug)]
pub(crate) struct JaasLine {
    pub(crate) module: Module,
    options: Vec<(String, Secret)>,
}

/// The login modules that have a meaning outside of Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    Plain,
    Scram,
    OAuthBearer,
    Kerberos,
}

impl Module {
    fn named(class: &str) -> Option<Self> {
        // Clouds and distributions move Kafka's classes into packages of their own.
        match class.rsplit('.').next()? {
            "PlainLoginModule" => Some(Self::Plain),
            "ScramLoginModule" => Some(Self::Scram),
            "OAuthBearerLoginModule" => Some(Self::OAuthBearer),
            "Krb5LoginModule" => Some(Self::Kerberos),
            _ => None,
        }
    }
}

impl JaasLine {
    /// Reads `MODULE FLAG name="value" ...;`. The error says what is wrong and shows no value.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut tokens = Tokens(line.chars().peekable());
        let class = match tokens.next()? {
            Some(Token::Text(class)) => class,
            _ => return Err("it does not begin with the class of a login module".into()),
        };
        let module = Module::named(&class).ok_or_else(|| {
            format!(
                "{class:?} has no meaning outside of Java: PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule and Krb5LoginModule have"
            )
        })?;
        match tokens.next()? {
            Some(Token::Text(flag)) if is_flag(&flag) => {}
            _ => return Err(format!("\"required\" is missing behind {class}")),
        }
        let options = options(&mut tokens)?;
        if tokens.next()?.is_some() {
            return Err("there is more behind the \";\": one login module is used".into());
        }
        Ok(Self { module, options })
    }

    /// An option's value, as text.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.secret(name)
            .and_then(|value| std::str::from_utf8(value.expose()).ok())
    }

    /// An option's value that may not be seen.
    pub(crate) fn secret(&self, name: &str) -> Option<&Secret> {
        self.options
            .iter()
            .find(|(option, _)| option == name)
            .map(|(_, value)| value)
    }

    /// The names of the options, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(name, _)| name.as_str())
    }
}

fn is_flag(text: &str) -> bool {
    ["required", "requisite", "sufficient", "optional"]
        .iter()
        .any(|flag| text.eq_ignore_ascii_case(flag))
}

fn options(tokens: &mut Tokens<'_>) -> Result<Vec<(String, Secret)>, String> {
    let mut options: Vec<(String, Secret)> = Vec::new();
    loop {
        let name = match tokens.next()? {
            Some(Token::End) => return Ok(options),
            Some(Token::Text(name)) => name,
            Some(Token::Equals) => return Err("a value without a name before its \"=\"".into()),
            None => return Err("the \";\" at the end is missing".into()),
        };
        match (tokens.next()?, tokens.next()?) {
            (Some(Token::Equals), Some(Token::Text(value))) => {
                if options.iter().any(|(known, _)| *known == name) {
                    return Err(format!("{name} is given twice"));
                }
                options.push((name, value.into()));
            }
            _ => return Err(format!("{name} has no value: write {name}=\"...\"")),
        }
    }
}

enum Token {
    Text(String),
    Equals,
    End,
}

/// The line in pieces, as Java's `StreamTokenizer` cuts it.
struct Tokens<'a>(Peekable<Chars<'a>>);

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        while self
            .0
            .next_if(|c| c.is_whitespace() || *c == '\\')
            .is_some()
        {}
        Ok(match self.0.next() {
            None => None,
            Some('=') => Some(Token::Equals),
            Some(';') => Some(Token::End),
            Some(quote @ ('"' | '\'')) => Some(Token::Text(self.quoted(quote)?)),
            Some(first) => Some(Token::Text(self.word(first))),
        })
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        let inside = |c: &char| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'');
        while let Some(c) = self.0.next_if(inside) {
            word.push(c);
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.0.next() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(c) if c != '\n' => text.push(c),
                _ => return Err("a quoted value does not end".into()),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        Ok(match self.0.next() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(digit @ '0'..='7') => self.octal(digit),
            Some(other) => other,
            None => return Err("a quoted value does not end".into()),
        })
    }

    /// Up to three octal digits, of which the first is at most 3 where there are three.
    fn octal(&mut self, first: char) -> char {
        let most = if first <= '3' { 2 } else { 1 };
        let mut code = first.to_digit(8).unwrap_or_default();
        for _ in 0..most {
            let Some(digit) = self.0.next_if(|c| c.is_digit(8)) else {
                break;
            };
            code = code * 8 + digit.to_digit(8).unwrap_or_default();
        }
        char::from_u32(code).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_javas_users_paste_them_are_read() {
        let scram = JaasLine::parse(
            "org.apache.kafka.common.security.scram.ScramLoginModule required \\\n   username=\"alice\" password='a\"b;c=d' tokenauth=true;",
        )
        .unwrap();
        assert_eq!(scram.module, Module::Scram);
        assert_eq!(scram.option("username"), Some("alice"));
        assert_eq!(scram.option("password"), Some("a\"b;c=d"));
        assert_eq!(scram.option("tokenauth"), Some("true"));
        assert_eq!(
            scram.names().collect::<Vec<_>>(),
            ["username", "password", "tokenauth"]
        );

        let plain = JaasLine::parse(
            r#"  org.apache.kafka.common.security.plain.PlainLoginModule   REQUIRED username = "u" password="q\"\\\n\101\7z" ; "#,
        )
        .unwrap();
        assert_eq!(plain.module, Module::Plain);
        assert_eq!(plain.option("password"), Some("q\"\\\nA\u{7}z"));

        let shaded = JaasLine::parse(
            "kafkashaded.org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
        )
        .unwrap();
        assert_eq!(shaded.module, Module::OAuthBearer);
        assert_eq!(shaded.names().count(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named_and_no_value_is_shown() {
        const SECRET: &str = "hunter2";
        for (line, reason) in [
            ("", "does not begin with the class"),
            (";", "does not begin with the class"),
            ("com.example.MyLoginModule required;", "MyLoginModule"),
            ("PlainLoginModule;", "\"required\" is missing"),
            (
                "PlainLoginModule password=\"hunter2\";",
                "\"required\" is missing",
            ),
            (
                "PlainLoginModule required password=\"hunter2\"",
                "\";\" at the end",
            ),
            (
                "PlainLoginModule required password=\"hunter2;",
                "does not end",
            ),
            (
                "PlainLoginModule required password=\"hunter2\\",
                "does not end",
            ),
            (
                "PlainLoginModule required password;",
                "password has no value",
            ),
            (
                "PlainLoginModule required password hunter2;",
                "password has no value",
            ),
            ("PlainLoginModule required =\"hunter2\";", "without a name"),
            (
                "PlainLoginModule required a=\"hunter2\" a=\"hunter2\";",
                "a is given twice",
            ),
            (
                "PlainLoginModule required a=\"hunter2\"; B required;",
                "more behind",
            ),
        ] {
            let error = JaasLine::parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }
}
