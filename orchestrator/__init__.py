"""Takes many APIs offline on Huawei ROMA Connect and Apinizer at once."""
