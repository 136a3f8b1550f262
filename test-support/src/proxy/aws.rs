//! What an HTTP request asks of AWS: which service and operation, in which region.

use hyper::{HeaderMap, Method, Uri};

/// The region and the service that a request is signed for: `(region, service)`.
pub(super) fn scope(headers: &HeaderMap) -> Option<(String, String)> {
    // AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=...
    let authorization = headers.get("authorization")?.to_str().ok()?;
    let credential = authorization.split_once("Credential=")?.1.split(',').next()?;
    // Seen from the end, because an access key may have slashes.
    let mut parts = credential.trim().rsplit('/').skip(1);
    let service = parts.next()?;
    let region = parts.next()?;
    Some((region.to_owned(), service.to_owned()))
}

/// The operation's name; for services whose requests do not name one, the method and the path.
pub(super) fn operation(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    target(headers)
        .or_else(|| cbor(uri))
        .or_else(|| form(headers, body))
        .unwrap_or_else(|| format!("{method} {}", uri.path()))
}

/// JSON services such as DynamoDB: `X-Amz-Target: DynamoDB_20120810.PutItem`.
fn target(headers: &HeaderMap) -> Option<String> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    Some(target.rsplit('.').next().unwrap_or(target).to_owned())
}

/// CBOR services such as CloudWatch: `/service/GraniteServiceVersion20100801/operation/PutMetricData`.
fn cbor(uri: &Uri) -> Option<String> {
    let (_, operation) = uri.path().strip_prefix("/service/")?.split_once("/operation/")?;
    Some(operation.to_owned())
}

/// Form services such as SNS: the body has `Action=Publish`.
fn form(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = headers.get("content-type")?.to_str().ok()?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let body = std::str::from_utf8(body).ok()?;
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn operation_of(request: &str, lines: &[(&'static str, &'static str)], body: &str) -> String {
        let (method, uri) = request.split_once(' ').unwrap();
        operation(&method.parse().unwrap(), &uri.parse().unwrap(), &headers(lines), body.as_bytes())
    }

    /// Protects every rule and every count: a request taken for another one is a fault in the wrong place.
    #[test]
    fn operations_of_all_protocols() {
        let json = [("x-amz-target", "DynamoDB_20120810.PutItem")];
        assert_eq!(operation_of("POST /", &json, "{}"), "PutItem");
        assert_eq!(operation_of("POST /service/Granite/operation/PutMetricData", &[], ""), "PutMetricData");
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        assert_eq!(operation_of("POST /", &form, "Version=1&Action=Publish&x=y"), "Publish");
        let route53 = "POST /2013-04-01/hostedzone/Z1/rrset/";
        assert_eq!(operation_of(route53, &[("content-type", "application/xml")], "<a/>"), route53);
        let lambda = "PUT /2017-10-31/functions/f/concurrency";
        assert_eq!(operation_of(&format!("{lambda}?x=1"), &[], "Action=no"), lambda);
    }

    /// Protects the regions: one proxy serves them all, told apart by the signature's scope only.
    #[test]
    fn region_and_service_are_those_of_the_signature() {
        let signed = "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-west-2/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
        let expected = Some(("us-west-2".to_owned(), "dynamodb".to_owned()));
        assert_eq!(scope(&headers(&[("authorization", signed)])), expected);
        assert_eq!(scope(&headers(&[("authorization", "Bearer Credential")])), None);
        assert_eq!(scope(&headers(&[])), None);
    }
}
