// The official SDK's transports for devices, by the names that tests give them.
'use strict';
module.exports = {
  mqtt: () => require('azure-iot-device-mqtt').Mqtt,
  'mqtt-ws': () => require('azure-iot-device-mqtt').MqttWs,
  amqp: () => require('azure-iot-device-amqp').Amqp,
  'amqp-ws': () => require('azure-iot-device-amqp').AmqpWs,
  http: () => require('azure-iot-device-http').Http,
};
