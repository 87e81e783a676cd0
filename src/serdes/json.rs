//! Keys and values as JSON, by serde.

use serde::{Deserialize, Serialize};

use super::{Cause, FromData};
use crate::error::{Error, Result};
use crate::record::{Data, Record};

/// A key or value that is JSON, to decode as `T`: `record.key_as::<Json<Account>>()?.0`.
///
/// Null, a tombstone, is an error: `Option<Json<T>>` is `None` for it. JSON's own word `null` is a value of `T`. Needs
/// the feature `json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Json<T>(
    /// What was decoded.
    pub T,
);

impl<'a, T: Deserialize<'a>> FromData<'a> for Json<T> {
    fn from_data(data: &'a [u8]) -> std::result::Result<Self, Cause> {
        serde_json::from_slice(data)
            .map(Json)
            .map_err(|error| format!("not the JSON expected: {error}").into())
    }
}

impl Data<'_> {
    /// The JSON of `message`, without white space. Needs the feature `json`.
    ///
    /// ```
    /// # fn main() -> ottla::Result<()> {
    /// use ottla::{Data, Record};
    ///
    /// let record = Record::to("seats").key(Data::json(&("A", 12))?).value("taken");
    /// assert_eq!(Data::json(&("A", 12))?.as_slice(), br#"["A",12]"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Encode`] for what has no JSON: a map whose keys are not text, or a type that refuses.
    pub fn json<T: Serialize + ?Sized>(message: &T) -> Result<Data<'static>> {
        match serde_json::to_vec(message) {
            Ok(bytes) => Ok(Data::Owned(bytes)),
            Err(error) => Err(Error::Encode {
                format: "JSON",
                reason: error.to_string().into(),
            }),
        }
    }
}

impl Record<'_> {
    /// The value, as JSON. Needs the feature `json`.
    ///
    /// ```
    /// # fn main() -> ottla::Result<()> {
    /// use ottla::Record;
    /// use serde::Serialize;
    ///
    /// #[derive(Serialize)]
    /// struct Payment {
    ///     amount: u32,
    /// }
    ///
    /// let record = Record::to("payment-topic").key(42_i64).json(&Payment { amount: 100 })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Data::json`].
    pub fn json<T: Serialize + ?Sized>(self, message: &T) -> Result<Self> {
        Ok(self.value(Data::json(message)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Payment {
        id: u64,
        note: Option<String>,
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let payment = Payment {
            id: u64::MAX,
            note: Some("\"\u{fc}\n".to_owned()),
        };
        let data = Data::json(&payment).unwrap();
        assert_eq!(
            data.as_slice(),
            "{\"id\":18446744073709551615,\"note\":\"\\\"\u{fc}\\n\"}".as_bytes()
        );
        assert_eq!(Json::from_data(data.as_slice()).unwrap(), Json(payment));
    }

    #[test]
    fn json_is_borrowed_where_the_type_borrows() {
        let data = br#"{"name":"ada"}"#;
        let found = Json::<HashMap<&str, &str>>::from_data(data).unwrap().0;
        assert_eq!(found["name"].as_ptr(), data[9..].as_ptr());
    }

    #[test]
    fn the_word_null_is_a_value_and_a_tombstone_is_none() {
        let word = Json::<Option<i32>>::from_data(b"null").unwrap();
        assert_eq!(word, Json(None));
        assert!(Json::<Option<i32>>::from_null().is_err());
        assert_eq!(Option::<Json<i32>>::from_null().unwrap(), None);
    }

    #[test]
    fn what_is_not_the_json_expected_says_so() {
        for bytes in [
            &b""[..],
            b"{",
            b"{}",
            b"\xff",
            br#"{"id":-1,"note":null}"#,
            b"{\"id\":1} x",
        ] {
            let error = Json::<Payment>::from_data(bytes).unwrap_err().to_string();
            assert!(error.starts_with("not the JSON expected: "), "{error}");
        }
    }

    #[test]
    fn what_has_no_json_is_refused() {
        let error = Data::json(&BTreeMap::from([((1, 2), 3)])).unwrap_err();
        assert!(
            matches!(error, Error::Encode { format: "JSON", .. }),
            "{error}"
        );
        assert!(!error.is_retriable() && !error.is_fatal() && !error.possibly_written());
    }
}
