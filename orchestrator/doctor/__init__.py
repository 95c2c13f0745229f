"""What is wrong with a plan's gateways before anything is sent that changes them."""
