"""Huawei ROMA Connect."""
