#version 300 es
// From linear light to a picture: the exponent 1/2.2 of Eq. 2, with the straight line of models/light.py below its knee.
precision highp float;

const float GAMMA = 2.2;
const float KNEE = 0.0031308;
const float INSIDE = 0.12; // how much of its colour the inside of the open mask keeps

in vec3 v_light;

uniform bool u_flat; // one sRGB colour instead of light
uniform vec3 u_colour;

out vec4 colour;

vec3 srgb_from_linear(vec3 linear) {
  vec3 bright = pow(clamp(linear, KNEE, 1.0), vec3(1.0 / GAMMA));
  vec3 dark = max(linear, 0.0) * pow(KNEE, 1.0 / GAMMA) / KNEE;
  return mix(dark, bright, step(KNEE, linear));
}

void main() {
  vec3 light = gl_FrontFacing ? v_light : INSIDE * v_light;
  colour = vec4(u_flat ? u_colour : srgb_from_linear(light), 1.0);
}
