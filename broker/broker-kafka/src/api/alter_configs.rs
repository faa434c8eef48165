//! AlterConfigs (33), versions 0–2: replaces all overrides of a resource by the given ones. Each resource succeeds or
//! fails by itself; `validate_only` changes nothing.
//!
//! Source: KIP-133, Kafka's `ConfigAdminManager`.

use broker_core::config::alter_replace;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ResponseKind};

use super::config_resource::{change, find, named_twice, repeated};
use super::refusal::Refusal;
use super::text::owned;
use crate::broker::{Broker, Fatal};
use crate::handler::Context;

pub(crate) async fn handle(
    context: &Context,
    request: AlterConfigsRequest,
) -> Result<ResponseKind, Fatal> {
    let mut repeated =
        repeated(request.resources.iter().map(|one| (one.resource_type, &*one.resource_name)));
    let mut response = AlterConfigsResponse::default();
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.to_string());
        let Some(twice) = repeated.remove(&key) else { continue };
        let outcome = match twice {
            true => Err(named_twice()),
            false => replace(&*context.broker, resource, request.validate_only).await?,
        };
        let mut result = AlterConfigsResourceResponse::default();
        result.resource_type = resource.resource_type;
        result.resource_name = resource.resource_name.clone();
        (result.error_code, result.error_message) = Refusal::fields(&outcome);
        response.responses.push(result);
    }
    Ok(ResponseKind::AlterConfigs(response))
}

async fn replace(
    broker: &dyn Broker,
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<Result<(), Refusal>, Fatal> {
    let resource = match find(broker, wanted.resource_type, &wanted.resource_name) {
        Ok(resource) => resource,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let configs: Vec<(String, Option<String>)> = wanted
        .configs
        .iter()
        .map(|one| (one.name.to_string(), owned(one.value.as_ref())))
        .collect();
    change(broker, &resource, validate_only, |topic, _, config| {
        alter_replace(topic, config, &configs)
    })
    .await
}
