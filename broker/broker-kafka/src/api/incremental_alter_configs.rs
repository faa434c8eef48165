//! IncrementalAlterConfigs (44), versions 0–1: SET, DELETE, APPEND and SUBTRACT on single configs. Each resource succeeds
//! or fails by itself and as a whole; `validate_only` changes nothing.
//!
//! Source: KIP-339, Kafka's `ConfigurationControlManager`.

use broker_core::config::{AlterOp, ConfigError, alter_incremental};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ResponseKind,
};

use super::config_resource::{change, find, named_twice, repeated};
use super::refusal::Refusal;
use super::text::owned;
use crate::broker::{Broker, Fatal};
use crate::handler::Context;

pub(crate) async fn handle(
    context: &Context,
    request: IncrementalAlterConfigsRequest,
) -> Result<ResponseKind, Fatal> {
    let mut repeated =
        repeated(request.resources.iter().map(|one| (one.resource_type, &*one.resource_name)));
    let mut response = IncrementalAlterConfigsResponse::default();
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.to_string());
        let Some(twice) = repeated.remove(&key) else { continue };
        let outcome = match twice {
            true => Err(named_twice()),
            false => alter(&*context.broker, resource, request.validate_only).await?,
        };
        let mut result = AlterConfigsResourceResponse::default();
        result.resource_type = resource.resource_type;
        result.resource_name = resource.resource_name.clone();
        (result.error_code, result.error_message) = Refusal::fields(&outcome);
        response.responses.push(result);
    }
    Ok(ResponseKind::IncrementalAlterConfigs(response))
}

async fn alter(
    broker: &dyn Broker,
    wanted: &AlterConfigsResource,
    validate_only: bool,
) -> Result<Result<(), Refusal>, Fatal> {
    let resource = match find(broker, wanted.resource_type, &wanted.resource_name) {
        Ok(resource) => resource,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let ops: Result<Vec<(String, AlterOp)>, ConfigError> = wanted
        .configs
        .iter()
        .map(|one| {
            let op = AlterOp::from_wire(one.config_operation, owned(one.value.as_ref()))?;
            Ok((one.name.to_string(), op))
        })
        .collect();
    let ops = match ops {
        Ok(ops) => ops,
        Err(error) => return Ok(Err(Refusal::from(error))),
    };
    change(broker, &resource, validate_only, |topic, current, config| {
        alter_incremental(topic, current, config, &ops)
    })
    .await
}
